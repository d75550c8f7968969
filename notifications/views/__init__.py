"""The pages about messages: a person's settings, and what was sent."""
