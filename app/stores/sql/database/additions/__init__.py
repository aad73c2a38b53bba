"""Additions to the schema that an earlier Endcap does not notice: tables and columns that it never reads or writes."""
