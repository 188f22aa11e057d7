//! Certificates with all manner of names.
