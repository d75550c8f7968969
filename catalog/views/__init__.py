"""The pages of services, and of who is on call for them."""
