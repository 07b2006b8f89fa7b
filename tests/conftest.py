"""What every test shares."""

from hypothesis import settings

# No deadline: a loaded machine is no defect. The blob repeats a failure found elsewhere.
settings.register_profile("plimsoll", deadline=None, print_blob=True)
settings.load_profile("plimsoll")
