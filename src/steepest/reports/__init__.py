"""A page that compares runs, and the tables and pictures beside it."""
