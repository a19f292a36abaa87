//! What a frame announces, as soon as its header is there (RFC 6455, 5.2).

/// The length of the payload of the frame that `bytes` begin with, in bytes; `None` while its header is not there up to the
/// length.
pub(super) fn announced(bytes: &[u8]) -> Option<usize> {
    let (_, rest) = bytes.split_first()?;
    let (second, rest) = rest.split_first()?;
    let length = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes(*rest.first_chunk()?)),
        127 => u64::from_be_bytes(*rest.first_chunk()?),
        short => u64::from(short),
    };
    // Where it is more than there are addresses it is too much in any case.
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The header of a masked text frame, up to the length.
    fn header(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=65_535 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes
    }

    #[test]
    fn is_known_once_the_bytes_of_the_length_are_there() {
        for length in [0, 125, 126, 65_535, 65_536, usize::MAX] {
            let header = header(length);
            for cut in 0..header.len() {
                assert_eq!(announced(&header[..cut]), None, "{length}, {cut} bytes");
            }
            assert_eq!(announced(&header), Some(length));
            assert_eq!(announced(&[&header[..], &[1, 2, 3, 4, 5]].concat()), Some(length));
        }
    }

    proptest! {
        #[test]
        fn takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let known = announced(&bytes);
            prop_assert!(known.is_some() || bytes.len() < 10);
        }
    }
}
