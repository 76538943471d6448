//! Message bodies, a module per family.

pub mod query;
pub mod report;
pub mod startup;
