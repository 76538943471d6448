//! Starts real hosts and real servers around the built modules.
