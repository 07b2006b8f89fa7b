"""Hand-written fakes of the ports, for every test that needs one."""
