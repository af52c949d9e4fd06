//! Whole files: cases as data, and anything at all.

mod any_text;
mod cases;
mod flattened;
