"""The names of users."""

import os
import pwd

from batchd.spool.users import name_of


def test_a_user_has_their_name_and_a_stranger_a_number():
    assert name_of(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert name_of(61_007) == "user 61007"
