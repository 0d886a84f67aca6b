//! A zlib stream, or a part of one.

use std::io::{BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::super::format::damage::{cut_off, wrong};

/// Decompresses a stream that may not end before its own end mark, nor go on behind it.
pub(super) struct Inflate<R> {
    from: R,
    inflate: Decompress,
    /// Whether it is a part that another goes on with, so that it has no end mark.
    is_part: bool,
    has_ended: bool,
}

impl<R: BufRead> Inflate<R> {
    /// A whole stream, its header and checksum included.
    pub(super) fn whole(from: R) -> Inflate<R> {
        Inflate { from, inflate: Decompress::new(true), is_part: false, has_ended: false }
    }

    /// What lies between two full flushes.
    pub(super) fn part(from: R) -> Inflate<R> {
        Inflate { from, inflate: Decompress::new(false), is_part: true, has_ended: false }
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.from.fill_buf()?;
            let is_empty = input.is_empty();
            match (self.has_ended, is_empty) {
                (true, true) => return Ok(0),
                (true, false) => return Err(wrong("data goes on behind a compressed stream")),
                (false, _) => {}
            }
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, into, FlushDecompress::None);
            let status = status.map_err(|_| wrong("data isn't compressed as it should be"))?;
            let read = self.inflate.total_in() - read;
            let written = self.inflate.total_out() - written;
            self.from.consume(read as usize);
            self.has_ended = status == Status::StreamEnd;
            match (written, self.has_ended) {
                (1.., _) => return Ok(written as usize),
                (0, true) => {}
                (0, false) if is_empty => {
                    return if self.is_part { Ok(0) } else { Err(cut_off()) };
                }
                (0, false) if read == 0 => {
                    return Err(wrong("data isn't compressed as it should be"));
                }
                (0, false) => {}
            }
        }
    }
}
