//! An archive's data decompressed: never more in memory than the algorithm's window, whatever a
//! stream claims to hold.

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::damage::cut_off;
use super::header::Compression;
use super::inflate::Inflate;

/// The largest window that is taken: 128 MB, which is the largest that zstd writes and reads unless
/// it is told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How data is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not at all.
    Plain,
    /// gzip members.
    Gzip,
    /// A zlib stream, which is what gzip's algorithm makes in a custom archive.
    Zlib,
    /// A part of such a stream.
    ZlibPart,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Coding {
    /// What is in a custom archive's blocks.
    pub(super) fn in_blocks(compression: Compression) -> Coding {
        match compression {
            Compression::None => Coding::Plain,
            Compression::Gzip => Coding::Zlib,
            Compression::Lz4 => Coding::Lz4,
            Compression::Zstd => Coding::Zstd,
        }
    }
}

/// What `from` holds, decompressed up to its end.
pub(super) fn decoded<'a>(
    mut from: impl BufRead + Send + 'a,
    coding: Coding,
) -> std::io::Result<Box<dyn Read + Send + 'a>> {
    // Of an empty large object, pg_dump writes an empty file with LZ4 and Zstandard, but not with
    // gzip.
    let may_be_empty = !matches!(coding, Coding::Gzip | Coding::Zlib | Coding::ZlibPart);
    if from.fill_buf()?.is_empty() {
        return if may_be_empty { Ok(Box::new(from)) } else { Err(cut_off()) };
    }
    Ok(match coding {
        Coding::Plain => Box::new(from),
        Coding::Gzip => Box::new(MultiGzDecoder::new(from)),
        Coding::Zlib => Box::new(Inflate::whole(from)),
        Coding::ZlibPart => Box::new(Inflate::part(from)),
        Coding::Lz4 => Box::new(Lz4Frames::of(from)),
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(from)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// One LZ4 frame after the other. The decoder itself stops after each, and takes what is cut off for
/// an end.
struct Lz4Frames<R: Read> {
    decoder: FrameDecoder<Watched<R>>,
    is_inside: bool,
}

impl<R: BufRead> Lz4Frames<R> {
    fn of(from: R) -> Lz4Frames<R> {
        let from = Watched { from, was_at_end: false };
        Lz4Frames { decoder: FrameDecoder::new(from), is_inside: false }
    }
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let from = &mut self.decoder.get_mut().from;
            if !self.is_inside && from.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let read = self.decoder.read(into)?;
            self.is_inside = read > 0;
            if read > 0 {
                return Ok(read);
            }
            // Of a whole frame the decoder knows where it ends.
            if self.decoder.get_ref().was_at_end {
                return Err(cut_off());
            }
        }
    }
}

/// A reader that remembers whether somebody wanted more than there was.
struct Watched<R> {
    from: R,
    was_at_end: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.was_at_end |= read == 0 && !into.is_empty();
        Ok(read)
    }
}
