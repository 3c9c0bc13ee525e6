//! What a file may get wrong, and how it is said.
