"""The one exception that a user's mistake raises, wherever it is found."""


class UserError(Exception):
    """Something the user can mend: the message gives the value, the rule and the way out.

    The command line prints the message alone and exits with status 2; a traceback is kept
    for defects of the program itself.
    """
