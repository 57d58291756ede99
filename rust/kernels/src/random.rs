//! Counter-based random streams: Philox4x32-10.
