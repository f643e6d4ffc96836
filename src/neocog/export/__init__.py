"""A trained network as a file that other programs run, compared with the network itself."""
