"""How often does the interval of a rank correlation between banks contain the truth?"""
