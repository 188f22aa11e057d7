//! A finding of each kind, and none where there is nothing.
