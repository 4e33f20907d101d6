//! Single rules under criterion: `cargo bench -p wfldb-benches`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use wfldb_core::chunk::{group_values, root};
use wfldb_core::id::SecretKey;

fn rules(criterion: &mut Criterion) {
    let key = SecretKey::from_seed([7; 32]);
    let public = key.public_key();
    let message = vec![b'x'; 400];
    let signature = key.sign(&message);
    criterion.bench_function("sign 400 B", |b| b.iter(|| key.sign(black_box(&message))));
    criterion.bench_function("verify_strict 400 B", |b| {
        b.iter(|| public.verify_strict(black_box(&message), black_box(&signature)));
    });
    let chunk = vec![7; 4 << 20];
    criterion.bench_function("group values and root of 4 MiB", |b| {
        b.iter(|| root(&group_values(black_box(&chunk)), chunk.len()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default();
    targets = rules
}
criterion_main!(benches);
