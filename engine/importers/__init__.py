"""Call records of switches as events: FreeSWITCH, Asterisk, and any CSV with a mapping.

Every importer is a generator of rows over files, in bounded memory. The identity of an event comes from the record
alone, so that the same file imported twice changes nothing.
"""
