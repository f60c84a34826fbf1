"""What `speed_page.py` measures: pairs of genbench and another program that does the same work."""
