"""What the status pages hear of incidents and of the catalog."""
