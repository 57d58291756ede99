//! Times the layers and the rotary embedding beside a plain copy of the same arrays, on each level
//! that the machine has: `cargo bench -p numfuse-kernels --bench layers`.

use std::hint::black_box;
use std::time::Instant;

use numfuse_kernels::attention::rotary::rotary;
use numfuse_kernels::layers::{Approximation, gelu, layer_norm};
use numfuse_kernels::simd::levels;
use numfuse_kernels::view::{View, ViewMut};
use numfuse_kernels::{Context, Error};

const ROUNDS: usize = 21;

/// Median of the rounds, in milliseconds.
fn median(mut call: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    call()?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn main() -> Result<(), Error> {
    // One batch of 32 sentences of 57 tokens in a MiniLM layer.
    let (rows, hidden, wide) = (32 * 57, 384, 1536);
    let x: Vec<f32> = (0..rows * wide)
        .map(|i| (i % 1201) as f32 / 150.0 - 4.0)
        .collect();
    let mut out = vec![0.0_f32; x.len()];
    let narrow = &x[..rows * hidden];
    let weight: Vec<f32> = (0..hidden).map(|i| 1.0 + i as f32 / 1000.0).collect();
    let heads = [32, 12, 57, 32];
    let angles: Vec<f32> = (0..57 * 16).map(|i| i as f32 / 912.0).collect();
    let angles = || View::new(&angles, 0, &[32, 12, 57, 16], &[0, 0, 16, 1]);

    println!(
        "{:10} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "ms", "threads", "gelu", "tanh", "norm", "rotary"
    );
    for (name, level) in levels() {
        for threads in [1, 2] {
            let context = Context {
                level,
                threads,
                cancelled: &|| false,
            };
            let mut by = |approximation| {
                median(|| {
                    let out = ViewMut::contiguous(black_box(&mut out), &[rows, wide])?;
                    gelu(
                        View::contiguous(&x, &[rows, wide])?,
                        approximation,
                        out,
                        &context,
                    )
                })
            };
            let exact = by(Approximation::None)?;
            let tanh = by(Approximation::Tanh)?;
            let norm = median(|| {
                let out = ViewMut::contiguous(black_box(&mut out), &[rows, hidden])?;
                let x = View::contiguous(narrow, &[rows, hidden])?;
                let weight = || View::contiguous(&weight, &[hidden]);
                layer_norm(x, Some(weight()?), Some(weight()?), 1e-12, out, &context)
            })?;
            let turned = median(|| {
                let out = ViewMut::contiguous(black_box(&mut out), &heads)?;
                rotary(
                    View::contiguous(narrow, &heads)?,
                    angles()?,
                    angles()?,
                    false,
                    out,
                    &context,
                )
            })?;
            println!("{name:10} {threads:7} {exact:9.3} {tanh:9.3} {norm:9.3} {turned:9.3}");
        }
    }
    let copy = median(|| {
        black_box(&mut out).copy_from_slice(&x);
        Ok(())
    })?;
    println!("copying gelu's array on one thread: {copy:.3}");
    Ok(())
}
