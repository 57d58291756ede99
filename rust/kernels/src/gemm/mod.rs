//! Matrix products on packed panels, shared by every family that multiplies.
//!
//! A *panel* holds up to `NR` vectors of rows side by side in the lanes: element `[k][lane]` is
//! column k of that lane's row. A *tile* keeps `MR × NR` accumulators in registers and walks along
//! k: one vector load a panel vector, one broadcast a row of the other operand, `MR·NR` fused
//! multiply-adds. Nothing is summed across lanes, so that an output element is one chain of fused
//! multiply-adds in the order of k: its bits depend on neither tile shape nor lane count.
//!
//! 1. [`panel`]: rows into a panel, a panel back into rows.
//! 2. [`tile`]: the two register tiles, rows · panel and panel · columns.

pub mod panel;
pub mod tile;

#[cfg(test)]
mod tests;
