"""`bandstand verify`: a whole database held against what it must be, and damage named.

command    opens the file, shares the work out, prints
rows       SQLite's own checks, dangling rows, which CoValues there are
covalues   one CoValue: header, sessions, chain, signatures, tombstone
facts      what earlier runs found sound, so that it need not be proved again
findings   what was found, in a line each
"""
