"""What benches/load.py is made of."""
