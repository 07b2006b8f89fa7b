"""What every test shares."""

import os

from hypothesis import settings

# No deadline: a loaded machine is no defect. The blob repeats a failure found elsewhere. Derandomized, a run of
# continuous integration says the same twice; HYPOTHESIS_PROFILE=deep looks further, and elsewhere each time.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("deep", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
