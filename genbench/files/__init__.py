"""Read settings files of limited size, and write output files completely or not at all."""
