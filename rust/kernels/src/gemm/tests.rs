//! Panels against the rows that they were made from, tiles against chains written out in scalars.

use fearless_simd::prelude::*;
use fearless_simd_macros::simd;

use super::panel::{self, Block, MOST, Pair};
use super::tile;
use crate::for_tiles;
use crate::layers::samples::on_every_level;
use crate::simd::{Lanes, Real};
use crate::view::View;

const DEPTHS: &[usize] = &[0, 1, 2, 3, 4, 5, 7, 8, 9, 64, 65, 127, 128, 129];

fn numbers<T: Real>(count: usize, step: usize) -> Vec<T> {
    let number = |i: usize| ((i * step) % 97) as f64 / 16.0 - 3.0;
    (0..count).map(|i| T::from_f64(number(i))).collect()
}

/// Rows into a panel, more lanes than rows, and back again.
#[simd]
fn packed_and_unpacked<S: Simd, T: Real>(simd: S) {
    let width = 2 * Lanes::<S, T>::LEN;
    let two = T::from_f64(2.0);
    for &depth in DEPTHS {
        for count in [1, 2, 3, width - 1, width] {
            let rows: Vec<T> = numbers(count * depth, 5);
            let row = |i: usize| &rows[i * depth..(i + 1) * depth];
            let mut packed = vec![T::NAN; depth * width];
            panel::pack(simd, row, count, width, two, &mut packed);
            for k in 0..depth {
                for lane in 0..width {
                    let wanted = if lane < count {
                        row(lane)[k] * two
                    } else {
                        T::ZERO
                    };
                    assert!(
                        packed[k * width + lane] == wanted,
                        "{depth} {count} {k} {lane}"
                    );
                }
            }
            let block = panel::block::<S, T>();
            let mut strip = vec![T::NAN; block * depth];
            for first in (0..count).step_by(block) {
                panel::unpack(simd, &packed, width, first, depth, &mut strip);
                for i in 0..block.min(count - first) {
                    for k in 0..depth {
                        assert!(strip[i * depth + k] == row(first + i)[k] * two);
                    }
                }
            }
        }
    }
}

/// Every 128-bit block is transposed by itself.
#[simd]
fn blocks_transposed<S: Simd, T: Real>(simd: S) {
    let (block, pair) = (Block::<S, T>::LEN, Pair::<S, T>::LEN);
    let given: Vec<T> = (0..block * pair).map(|i| T::from_f64(i as f64)).collect();
    let mut x = [Pair::<S, T>::splat(simd, T::ZERO); MOST];
    for i in 0..block {
        x[i] = Pair::<S, T>::from_slice(simd, &given[i * pair..(i + 1) * pair]);
    }
    panel::transpose_blocks(simd, &mut x);
    for i in 0..block {
        for lane in 0..pair {
            let (at, within) = (lane - lane % block, lane % block);
            assert!(
                x[i].as_slice()[lane] == given[within * pair + at + i],
                "{i} {lane}"
            );
        }
    }
}

/// Both tiles, and the careful one, give each element its chain, whatever tile it falls into.
#[simd]
fn tiles_multiplied<S: Simd, T: Real>(simd: S) {
    const N: usize = 2;
    let lanes = Lanes::<S, T>::LEN;
    let width = N * lanes;
    for count in [1, 2, 3, 4, 5, 6, 7, 11, 19, 20, 21, 25] {
        for depth in [0, 1, 7, 130] {
            let (rows, columns) = (numbers(count * depth, 7), numbers(count * depth, 7));
            let mut packed: Vec<T> = numbers(depth * width, 3);
            let a = View::contiguous(&rows, &[1, count, depth])
                .expect("a view")
                .plane(0);
            let b = View::contiguous(&columns, &[1, depth, count])
                .expect("a view")
                .plane(0);
            let chain = |left: &dyn Fn(usize) -> T, packed: &[T], lane: usize| {
                let mut sum = Lanes::<S, T>::splat(simd, T::ZERO);
                for k in 0..depth {
                    let right = Lanes::<S, T>::splat(simd, packed[k * width + lane]);
                    sum = Lanes::<S, T>::splat(simd, left(k)).mul_add(right, sum);
                }
                sum[0]
            };
            let mut covered = 0;
            for_tiles!(N, count, |first, M| {
                let by_rows = tile::rows::<S, Lanes<S, T>, M, N>(simd, a, first, 0, &packed);
                let by_columns = tile::columns::<S, Lanes<S, T>, M, N>(simd, b, 0, first, &packed);
                for i in 0..M {
                    covered += 1;
                    for lane in 0..width {
                        let (j, at) = (lane / lanes, lane % lanes);
                        let row = |k: usize| a.get(first + i, k);
                        assert!(by_rows[i][j].as_slice()[at] == chain(&row, &packed, lane));
                        let column = |k: usize| b.get(k, first + i);
                        assert!(by_columns[i][j].as_slice()[at] == chain(&column, &packed, lane));
                    }
                }
            });
            assert_eq!(covered, count);

            // A −0 in the panel hides what stands beside it, were it infinite.
            if depth == 7 {
                packed[3 * width..4 * width].fill(-T::ZERO);
                let mut spoilt = columns.clone();
                spoilt[3 * count..4 * count].fill(T::NEG_INFINITY);
                let spoilt = View::contiguous(&spoilt, &[1, depth, count]).expect("a view");
                let clean = tile::columns::<S, Lanes<S, T>, 1, N>(simd, b, 0, 0, &packed);
                let careful = tile::marked_columns::<S, Lanes<S, T>, 1, N>(
                    simd,
                    spoilt.plane(0),
                    0,
                    0,
                    &packed,
                );
                for j in 0..N {
                    assert!(careful[0][j].as_slice() == clean[0][j].as_slice());
                }
            }
        }
    }
}

#[test]
fn panels_hold_their_rows_and_give_them_back() {
    on_every_level(|_, level| {
        fearless_simd::dispatch!(level, simd => {
            packed_and_unpacked::<_, f32>(simd);
            packed_and_unpacked::<_, f64>(simd);
        });
    });
}

#[test]
fn blocks_are_transposed_each_by_itself() {
    on_every_level(|_, level| {
        fearless_simd::dispatch!(level, simd => {
            blocks_transposed::<_, f32>(simd);
            blocks_transposed::<_, f64>(simd);
        });
    });
}

#[test]
fn tiles_of_every_size_give_each_element_its_chain() {
    on_every_level(|_, level| {
        fearless_simd::dispatch!(level, simd => {
            tiles_multiplied::<_, f32>(simd);
            tiles_multiplied::<_, f64>(simd);
        });
    });
}
