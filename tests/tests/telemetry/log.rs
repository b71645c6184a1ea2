//! The log, as lines of JSON, and its levels at run time.
