//! The checksum that ends a zlib stream (RFC 1950, "Adler-32 checksum"), also of pieces that were
//! summed up apart from each other.

const MODULUS: u32 = 65521;
/// So many bytes can be added before a sum must be reduced.
const RUN: usize = 5552;

/// The checksum of what has passed.
#[derive(Debug, Clone, Copy)]
pub(in crate::archive) struct Adler32 {
    low: u32,
    high: u32,
}

impl Adler32 {
    pub(in crate::archive) fn new() -> Adler32 {
        Adler32 { low: 1, high: 0 }
    }

    pub(in crate::archive) fn update(&mut self, bytes: &[u8]) {
        for run in bytes.chunks(RUN) {
            for &byte in run {
                self.low += u32::from(byte);
                self.high += self.low;
            }
            self.low %= MODULUS;
            self.high %= MODULUS;
        }
    }

    pub(in crate::archive) fn value(self) -> u32 {
        self.high << 16 | self.low
    }

    /// Takes in `length` bytes whose own checksum is `value`.
    pub(in crate::archive) fn append(&mut self, value: u32, length: u64) {
        let (low, high) = (u64::from(value & 0xffff), u64::from(value >> 16));
        let modulus = u64::from(MODULUS);
        // Each byte that follows adds all that the low sum was before it, less the 1 both begin with.
        let before = u64::from(self.low) + modulus - 1;
        self.high = ((u64::from(self.high) + high + (length % modulus) * (before % modulus))
            % modulus) as u32;
        self.low = ((before + low) % modulus) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_whole() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| ((n * 7919) >> 5) as u8).collect();
        let of = |bytes: &[u8]| {
            let mut sum = Adler32::new();
            sum.update(bytes);
            sum.value()
        };
        assert_eq!(of(b"Wikipedia"), 0x11e6_0398);
        for cut in [0, 1, 5552, 65521, 150_000, 200_000] {
            let mut joined = Adler32::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                joined.append(of(part), part.len() as u64);
            }
            assert_eq!(joined.value(), of(&bytes), "{cut}");
        }
    }
}
