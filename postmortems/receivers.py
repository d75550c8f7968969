"""What the postmortems hear of incidents."""
