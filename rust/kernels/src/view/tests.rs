//! What users lose when a view is wrong: an element, a crash, or somebody else's memory. Each array
//! here holds its own places in memory, so that a wrong step shows; Miri runs all of this.

use std::ptr;

use super::*;

/// Every index within a shape, in C order.
fn indexes(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |indexes, &length| {
        indexes
            .iter()
            .flat_map(|index| (0..length).map(|i| [&index[..], &[i]].concat()))
            .collect()
    })
}

fn place(offset: usize, strides: &[isize], index: &[usize]) -> i64 {
    let steps = index
        .iter()
        .zip(strides)
        .map(|(&i, &stride)| i as i64 * stride as i64);
    offset as i64 + steps.sum::<i64>()
}

/// (length of memory, offset, shape, strides), each valid.
const LAYOUTS: &[(usize, usize, &[usize], &[isize])] = &[
    (1, 0, &[], &[]),
    (7, 3, &[], &[]),
    (5, 0, &[5], &[1]),
    (5, 4, &[5], &[-1]),
    (9, 0, &[5], &[2]),
    (3, 2, &[4], &[0]),
    (6, 0, &[2, 3], &[3, 1]),
    (6, 0, &[3, 2], &[1, 3]),
    (6, 5, &[2, 3], &[-3, -1]),
    (12, 3, &[3, 3], &[4, -1]),
    (3, 0, &[4, 3], &[0, 1]),
    (2, 1, &[3, 4], &[0, 0]),
    (1, 0, &[1, 1], &[isize::MAX, isize::MIN]),
    (24, 0, &[2, 3, 4], &[12, 4, 1]),
    (24, 0, &[4, 2, 3], &[1, 12, 4]),
    (24, 12, &[2, 3, 4], &[-12, 4, 1]),
    (8, 0, &[3, 2, 1, 4], &[0, 4, 99, 1]),
    (24, 23, &[1, 2, 3, 1, 4], &[7, -12, -4, 0, -1]),
    (0, 0, &[0], &[1]),
    (0, 0, &[3, 0], &[5, 1]),
    (0, 0, &[0, 4], &[4, 1]),
    (2, 2, &[0, 4], &[-900, 1]),
    (0, 0, &[2, 0, 3], &[isize::MIN, 3, 1]),
];

#[test]
fn every_access_finds_its_own_element() {
    for &(length, offset, shape, strides) in LAYOUTS {
        let memory: Vec<i64> = (0..length as i64).collect();
        let view = View::new(&memory, offset, shape, strides).expect("valid");
        assert_eq!(
            (view.shape(), view.strides(), view.rank()),
            (shape, strides, shape.len())
        );
        for index in indexes(shape) {
            assert_eq!(view.element(&index), place(offset, strides, &index));
        }
        if let [lead @ .., columns] = shape {
            for (flat, index) in indexes(lead).iter().enumerate() {
                let line = view.line(flat);
                assert_eq!(line.len(), *columns);
                for j in 0..*columns {
                    assert_eq!(line.get(j), view.element(&[&index[..], &[j]].concat()));
                }
            }
        }
        if let [lead @ .., rows, columns] = shape {
            assert_eq!(view.lead(lead.len()), lead.iter().product());
            for (flat, index) in indexes(lead).iter().enumerate() {
                let plane = view.plane(flat);
                assert_eq!((plane.rows(), plane.columns()), (*rows, *columns));
                for i in 0..*rows {
                    let truth: Vec<i64> = (0..*columns)
                        .map(|j| view.element(&[&index[..], &[i, j]].concat()))
                        .collect();
                    assert!((0..*columns).all(|j| plane.get(i, j) == truth[j]));
                    if plane.row_is_unit() {
                        assert_eq!(plane.row(i), truth);
                    }
                }
                assert_eq!(
                    plane.row_is_unit(),
                    *columns < 2 || strides[shape.len() - 1] == 1
                );
            }
        }
    }
}

#[test]
fn a_slice_is_given_exactly_where_elements_stand_in_order() {
    for &(length, offset, shape, strides) in LAYOUTS {
        let memory: Vec<i64> = (0..length as i64).collect();
        let view = View::new(&memory, offset, shape, strides).expect("valid");
        let places: Vec<i64> = indexes(shape)
            .iter()
            .map(|index| place(offset, strides, index))
            .collect();
        let in_order = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert_eq!(
            view.as_slice(),
            in_order.then_some(&places[..]),
            "{shape:?} {strides:?}"
        );
    }
}

#[test]
fn no_layout_leads_out_of_its_memory() {
    let memory = [0_u8; 6];
    for (offset, shape, strides) in [
        (0, &[7][..], &[1][..]),
        (1, &[2, 3], &[3, 1]),
        (0, &[2, 3], &[-3, 1]),
        (5, &[3, 3], &[-3, -1]),
        (0, &[2, 3], &[4, 1]),
        (6, &[], &[]),
        (usize::MAX, &[], &[]),
        (usize::MAX, &[2], &[1]),
        (7, &[2], &[-7]),
    ] {
        let error = View::new(&memory, offset, shape, strides).err();
        assert!(
            matches!(error, Some(Error::Layout { .. })),
            "{offset} {shape:?} {strides:?}"
        );
        let mut memory = memory;
        assert!(ViewMut::new(&mut memory, offset, shape, strides).is_err());
    }
    assert!(View::contiguous(&memory, &[7]).is_err());
    assert!(
        View::contiguous(&memory[..0], &[]).is_err(),
        "a scalar needs an element"
    );
}

#[test]
fn sizes_that_overflow_are_errors() {
    let huge = isize::MAX as usize;
    let memory = [0_f64; 4];
    for (shape, strides) in [
        (&[huge, 2][..], &[0, 0][..]),
        (&[huge / 8 + 1], &[0]),
        (&[1 << 32, 1 << 32], &[0, 0]),
        (&[1 << 40, 0, 1 << 40], &[0, 0, 0]),
        (&[3], &[isize::MAX]),
        (&[3], &[isize::MIN]),
        (&[2, 2], &[isize::MAX / 8, isize::MAX / 8]),
        (&[2, 2], &[isize::MAX / 8, -isize::MAX / 8]),
    ] {
        let error = View::new(&memory, 0, shape, strides).err();
        assert_eq!(
            error,
            Some(Error::TooLarge { what: "array" }),
            "{shape:?} {strides:?}"
        );
    }
    // The largest broadcast that there may be.
    let view = View::new(&memory, 3, &[huge / 8], &[0]).expect("fits");
    assert_eq!(view.line(0).get(huge / 8 - 1), 0.0);
}

#[test]
fn ranks_up_to_64_are_taken() {
    let memory = [1_u8, 2];
    let mut shape = [1; 65];
    shape[40] = 2;
    let view = View::contiguous(&memory, &shape[..64]).expect("rank 64");
    assert_eq!((view.rank(), view.as_slice()), (64, Some(&memory[..])));
    assert!(matches!(
        View::contiguous(&memory, &shape),
        Err(Error::Layout { .. })
    ));
    assert!(matches!(
        View::new(&memory, 0, &shape, &[0; 65]),
        Err(Error::Layout { .. })
    ));
    assert!(matches!(
        View::new(&memory, 0, &[2], &[]),
        Err(Error::Layout { .. })
    ));
}

#[test]
fn bad_pointers_are_errors_and_never_read() {
    let memory = [0_u64; 3];
    let odd = memory.as_ptr().cast::<u8>().wrapping_add(1).cast::<u64>();
    // SAFETY: refused because it is misaligned.
    assert!(unsafe { View::from_raw(odd, &[1], &[1]) }.is_err());
    // SAFETY: refused because it is null.
    assert!(unsafe { View::from_raw(ptr::null::<u64>(), &[], &[]) }.is_err());
    // SAFETY: an empty array has no elements to lead to.
    let empty = unsafe { View::from_raw(ptr::null::<u64>(), &[4, 0], &[9, 1]) }.expect("empty");
    assert_eq!(empty.plane(0).row(3), &[] as &[u64]);
    // SAFETY: the three elements of `memory`, backwards.
    let view = unsafe { View::from_raw(&raw const memory[2], &[1], &[-1]) }.expect("valid");
    assert_eq!(view.element(&[0]), 0);
}

/// Whether `access` panics.
fn panics(access: impl FnOnce()) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(access)).is_err()
}

#[test]
fn an_access_outside_the_shape_panics() {
    let memory = [0_f32; 12];
    let view = View::contiguous(&memory, &[2, 2, 3]).expect("valid");
    let (plane, line) = (view.plane(1), view.line(3));
    assert!(panics(|| _ = view.plane(2)));
    assert!(panics(|| _ = view.line(4)));
    assert!(panics(|| _ = view.element(&[0, 0])));
    assert!(panics(|| _ = view.element(&[0, 2, 0])));
    assert!(panics(|| _ = plane.row(2)));
    assert!(panics(|| _ = plane.get(2, 0)) && panics(|| _ = plane.get(0, 3)));
    assert!(panics(|| _ = line.get(3)));
    let transposed = View::new(&memory, 0, &[3, 4], &[1, 3]).expect("valid");
    assert!(
        panics(|| _ = transposed.plane(0).row(0)),
        "a column is no slice"
    );
    assert!(panics(
        || _ = View::contiguous(&memory, &[12]).expect("valid").plane(0)
    ));
    assert!(panics(
        || _ = View::contiguous(&memory, &[]).expect("valid").line(0)
    ));
    let empty = View::contiguous(&memory, &[0, 4]).expect("valid");
    assert!(panics(|| _ = empty.plane(0).row(0)));
    assert!(panics(|| _ = empty.line(0)));
}

#[test]
fn an_output_whose_elements_share_memory_is_refused() {
    for &(length, offset, shape, strides) in LAYOUTS {
        let mut memory = vec![0_u16; length];
        let mut places: Vec<i64> = indexes(shape)
            .iter()
            .map(|index| place(offset, strides, index))
            .collect();
        places.sort_unstable();
        let distinct = places.windows(2).all(|pair| pair[0] != pair[1]);
        let view = ViewMut::new(&mut memory, offset, shape, strides);
        assert_eq!(view.is_ok(), distinct, "{shape:?} {strides:?}");
    }
    let mut memory = [0_u16; 64];
    for (shape, strides) in [
        (&[3, 3][..], &[1, 1][..]),
        (&[2, 3], &[2, 1]),
        (&[3, 4], &[-3, 1]),
        (&[2, 2, 2], &[4, 3, 2]),
    ] {
        assert!(
            ViewMut::new(&mut memory, 9, shape, strides).is_err(),
            "{shape:?} {strides:?}"
        );
    }
}

/// Fills each row of a split with its flat index and checks every place of the memory.
fn check_split(layout: (usize, usize, &[usize], &[isize]), per_group: usize, per_tile: usize) {
    let (length, offset, shape, strides) = layout;
    let mut memory = vec![-1_i64; length];
    let view = ViewMut::new(&mut memory, offset, shape, strides).expect("valid");
    let tiles = view.split_rows(per_group, per_tile).expect("valid");
    let rows = indexes(&shape[..shape.len() - 1]);
    let mut firsts = vec![];
    // Backwards, and all at once: tiles may come in any order and live side by side.
    let mut taken: Vec<_> = (0..tiles.tiles())
        .rev()
        .map(|tile| tiles.take(tile))
        .collect();
    for tile in &mut taken {
        assert!(0 < tile.len() && tile.len() <= per_tile);
        firsts.push((tile.first(), tile.len()));
        for r in (0..tile.len()).rev() {
            let flat = (tile.first() + r) as i64;
            tile.row(r).fill(flat);
        }
    }
    drop(taken);
    firsts.reverse();
    let mut expected = vec![];
    for group in (0..rows.len()).step_by(per_group.max(1)) {
        for start in (0..per_group).step_by(per_tile) {
            expected.push((group + start, per_tile.min(per_group - start)));
        }
    }
    assert_eq!(firsts, expected);
    drop(tiles);
    let mut truth = vec![-1; length];
    for index in indexes(shape) {
        let row = rows
            .iter()
            .position(|row| row[..] == index[..shape.len() - 1]);
        truth[place(offset, strides, &index) as usize] = row.expect("a row") as i64;
    }
    assert_eq!(
        memory, truth,
        "{shape:?} {strides:?}, {per_group}, {per_tile}"
    );
}

#[test]
fn every_row_is_in_one_tile_and_at_its_place() {
    for layout in [
        (24, 0, &[6, 4][..], &[4, 1][..]),
        (24, 20, &[6, 4], &[-4, 1]),
        (30, 0, &[6, 4], &[5, 1]),
        (24, 0, &[2, 3, 4], &[12, 4, 1]),
        (24, 0, &[2, 3, 4], &[4, 8, 1]),
        (24, 12, &[2, 3, 4], &[-12, 4, 1]),
        (48, 0, &[2, 1, 3, 4], &[24, 7, 8, 1]),
        (36, 0, &[3, 2, 4], &[12, 4, 1]),
        (12, 0, &[2, 3, 2, 1], &[6, 2, 1, 99]),
        (12, 0, &[3, 2, 2, 1], &[2, 1, 6, 5]),
        (6, 0, &[6, 1], &[1, 1]),
        (0, 0, &[6, 0], &[77, 1]),
    ] {
        let rows: usize = layout.2[..layout.2.len() - 1].iter().product();
        for per_group in (1..=rows).filter(|divisor| rows.is_multiple_of(*divisor)) {
            // Miri is slow, and a step between one row and all rows says enough.
            for per_tile in if cfg!(miri) { 2..3 } else { 1..8 } {
                check_split(layout, per_group, per_tile);
            }
        }
    }
    check_split((24, 0, &[6, 4], &[4, 1]), 6, 100);
    check_split((4, 0, &[4], &[1]), 1, 1);
    check_split((0, 0, &[0, 4], &[4, 1]), 0, 3);
    check_split((0, 0, &[2, 0, 4], &[0, 4, 1]), 0, 3);
}

#[test]
fn a_split_that_cannot_be_is_an_error() {
    let mut memory = [0_f32; 24];
    let split = |shape: &[usize], strides: &[isize], per_group, per_tile| {
        let mut memory = [0_f32; 24];
        let view = ViewMut::new(&mut memory, 0, shape, strides).expect("valid");
        view.split_rows(per_group, per_tile)
            .map(|tiles| tiles.tiles())
    };
    assert!(matches!(split(&[], &[], 1, 1), Err(Error::Layout { .. })));
    assert!(matches!(
        split(&[3, 2], &[4, 2], 1, 1),
        Err(Error::Layout { .. })
    ));
    assert!(matches!(
        split(&[6, 4], &[4, 1], 4, 1),
        Err(Error::Value { .. })
    ));
    assert!(matches!(
        split(&[6, 4], &[4, 1], 0, 1),
        Err(Error::Value { .. })
    ));
    assert!(matches!(
        split(&[6, 4], &[4, 1], 6, 0),
        Err(Error::Value { .. })
    ));
    let view = ViewMut::contiguous(&mut memory, &[6, 4]).expect("valid");
    let tiles = view.split_rows(3, 2).expect("valid");
    tiles.take(1).row(0).fill(1.0);
    assert!(
        panics(|| _ = tiles.take(1)),
        "a tile is given out once, even after its end"
    );
    assert!(panics(|| _ = tiles.take(4)), "there are four");
    let mut rows = tiles.take(3);
    assert_eq!((rows.first(), rows.len()), (5, 1));
    assert!(
        panics(|| _ = rows.row(1)),
        "the next row is not this tile's"
    );
}

#[test]
fn threads_write_their_tiles_at_once() {
    let mut memory = vec![0_usize; 40 * 3];
    let view = ViewMut::contiguous(&mut memory, &[2, 20, 3]).expect("valid");
    let tiles = view.split_rows(20, 3).expect("valid");
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let tiles = &tiles;
            scope.spawn(move || {
                for tile in (worker..tiles.tiles()).step_by(3) {
                    let mut rows = tiles.take(tile);
                    for r in 0..rows.len() {
                        let flat = rows.first() + r;
                        rows.row(r).fill(flat);
                    }
                }
            });
        }
    });
    assert!(
        memory
            .iter()
            .enumerate()
            .all(|(place, &flat)| flat == place / 3)
    );
}

#[test]
fn a_whole_output_can_be_one_slice() {
    let mut memory = [0_u8; 6];
    let view = ViewMut::contiguous(&mut memory, &[2, 3]).expect("valid");
    assert!(view.is_contiguous());
    view.into_slice().expect("contiguous").fill(7);
    assert_eq!(memory, [7; 6]);
    let view = ViewMut::new(&mut memory, 0, &[2, 2], &[3, 1]).expect("valid");
    assert!(view.into_slice().is_none());
}
