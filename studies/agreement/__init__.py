"""Does the interval of a rank correlation between banks hold the truth?"""
