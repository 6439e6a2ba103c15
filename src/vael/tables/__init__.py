"""Tables: schema, reading and writing CSV and Parquet byte for byte, numerals, dates; no models."""
