//! Draws from the operating system what the core takes as a value.

use std::io::{self, Read};

use crate::base::Entropy;

/// `N` bytes from the operating system's generator.
pub fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0u8; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A freshly seeded generator.
pub fn seeded() -> io::Result<Entropy> {
    Ok(Entropy::from_seed(draw()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_generators_differ() {
        let mut a = super::seeded().expect("entropy");
        let mut b = super::seeded().expect("entropy");
        assert_ne!(a.u128(), b.u128());
    }
}
