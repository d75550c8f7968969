"""The pages of schedules and shifts."""
