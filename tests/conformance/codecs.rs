//! Codecs against implementations by others, in both directions: Opus against libopus, G.722 against SpanDSP. Both libraries come with
//! baresip's package.

use strowger::media::codec::{Codec, PAYLOAD_BYTES_MAX, Payload};
use strowger::media::prompts;
use strowger::media::signal::Resampler;

/// The shipped prompts one after the other, at this rate: some seconds of speech.
fn speech(rate_hz: u32) -> Vec<i16> {
    let names = ["welcome", "nobody", "closed", "callback-identify"];
    let mut resampler = Resampler::new(8_000, rate_hz);
    let mut out = Vec::new();
    for name in names {
        let path = format!("{}/prompts/en/{name}.flac", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        resampler.push(&prompts::decode(&bytes).expect("a prompt"), &mut out);
    }
    out
}

/// Decibels of the signal over the difference, at the shift of up to `shift_max` samples that fits best: codecs differ in delay.
fn likeness_db(wanted: &[i16], got: &[i16], shift_max: usize) -> f64 {
    // a shift is found in the first seconds
    let part = if shift_max == 0 { wanted.len() } else { 30_000 };
    (0..=shift_max)
        .map(|shift| {
            let (mut signal, mut error) = (0f64, 1f64);
            let shifted = got.get(shift..).unwrap_or_default();
            for (a, b) in wanted.iter().take(part).zip(shifted) {
                signal += f64::from(*a).powi(2);
                error += (f64::from(*a) - f64::from(*b)).powi(2);
            }
            10.0 * (signal / error).log10()
        })
        .fold(f64::MIN, f64::max)
}

fn encode(payload: &Payload, rate_hz: u32, frame: usize, samples: &[i16]) -> Vec<Vec<u8>> {
    let coder = payload.codec.coder().expect("we speak it");
    let mut encoder = (coder.encoder)(rate_hz, payload);
    let packets = samples.chunks_exact(frame).map(|frame| {
        let mut out = [0; PAYLOAD_BYTES_MAX];
        let length = encoder.encode(frame, &mut out);
        out[..length].to_vec()
    });
    packets.collect()
}

fn decode(codec: &Codec, rate_hz: u32, packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = (codec.coder().expect("we speak it").decoder)(rate_hz);
    let mut out = Vec::new();
    for packet in packets {
        decoder.decode(packet, &mut out).expect("decodes");
    }
    out
}

/// The libraries of others, as baresip's package brings them along.
#[allow(unsafe_code)]
mod theirs {
    use std::ffi::{CStr, c_int, c_void};
    use std::ptr::{null, null_mut};

    type Make = unsafe extern "C" fn(i32, c_int, c_int, *mut c_int) -> *mut c_void;
    type MakeDecoder = unsafe extern "C" fn(i32, c_int, *mut c_int) -> *mut c_void;
    type Control = unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int;
    type Encode = unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut u8, i32) -> i32;
    type Decode =
        unsafe extern "C" fn(*mut c_void, *const u8, i32, *mut i16, c_int, c_int) -> c_int;
    type G722Make = unsafe extern "C" fn(*mut c_void, c_int, c_int) -> *mut c_void;
    type G722Encode = unsafe extern "C" fn(*mut c_void, *mut u8, *const i16, c_int) -> c_int;
    type G722Decode = unsafe extern "C" fn(*mut c_void, *mut i16, *const u8, c_int) -> c_int;

    /// A function of a library. What it makes is never freed: a test is short.
    ///
    /// # Safety
    /// `F` is the type of the function of that name.
    unsafe fn find<F: Copy>(library: &CStr, name: &CStr) -> F {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: both names end in a zero; F is a pointer to a function by the caller's word.
        unsafe {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
            assert!(
                !handle.is_null(),
                "no {library:?}: run scripts/test-deps.sh"
            );
            let symbol = libc::dlsym(handle, name.as_ptr());
            assert!(!symbol.is_null(), "no {name:?} in {library:?}");
            std::mem::transmute_copy(&symbol)
        }
    }

    const OPUS: &CStr = c"libopus.so.0";
    const SPANDSP: &CStr = c"libspandsp.so.2";
    const VOIP: c_int = 2048;
    const SET_BITRATE: c_int = 4002;
    const SET_INBAND_FEC: c_int = 4012;
    const SET_PACKET_LOSS: c_int = 4014;

    pub struct OpusEncoder {
        state: *mut c_void,
        encode: Encode,
    }

    impl OpusEncoder {
        pub fn new(rate_hz: u32, bitrate: i32, fec: bool) -> OpusEncoder {
            let mut error = 0;
            // SAFETY: the types are those of opus.h; the error is looked at before the state is used.
            unsafe {
                let make: Make = find(OPUS, c"opus_encoder_create");
                let state = make(rate_hz as i32, 1, VOIP, &mut error);
                assert_eq!(error, 0);
                let control: Control = find(OPUS, c"opus_encoder_ctl");
                for (what, value) in [
                    (SET_BITRATE, bitrate),
                    (SET_INBAND_FEC, c_int::from(fec)),
                    (SET_PACKET_LOSS, 10 * c_int::from(fec)),
                ] {
                    assert_eq!(control(state, what, value), 0);
                }
                let encode = find(OPUS, c"opus_encode");
                OpusEncoder { state, encode }
            }
        }

        pub fn encode(&mut self, samples: &[i16]) -> Vec<u8> {
            let mut out = [0; 1_275];
            let (count, room) = (samples.len() as c_int, out.len() as i32);
            // SAFETY: mono samples as many as said, room as much as said.
            let length = unsafe {
                (self.encode)(self.state, samples.as_ptr(), count, out.as_mut_ptr(), room)
            };
            assert!(length > 0, "libopus says {length}");
            out[..length as usize].to_vec()
        }
    }

    pub struct OpusDecoder {
        state: *mut c_void,
        decode: Decode,
    }

    impl OpusDecoder {
        pub fn new(rate_hz: u32) -> OpusDecoder {
            let mut error = 0;
            // SAFETY: the types are those of opus.h; the error is looked at before the state is used.
            unsafe {
                let make: MakeDecoder = find(OPUS, c"opus_decoder_create");
                let state = make(rate_hz as i32, 1, &mut error);
                assert_eq!(error, 0);
                let decode = find(OPUS, c"opus_decode");
                OpusDecoder { state, decode }
            }
        }

        /// `None` stands for a lost packet; with `copy` the packet is the one behind the lost one.
        pub fn decode(&mut self, packet: Option<&[u8]>, copy: bool, samples: usize) -> Vec<i16> {
            let mut out = vec![0i16; samples];
            let (start, length) = packet.map_or((null(), 0), |p| (p.as_ptr(), p.len() as i32));
            let (place, room) = (out.as_mut_ptr(), samples as c_int);
            // SAFETY: a packet as long as said or none, room for as many mono samples as said.
            let count =
                unsafe { (self.decode)(self.state, start, length, place, room, c_int::from(copy)) };
            assert!(count > 0, "libopus says {count}");
            out.truncate(count as usize);
            out
        }
    }

    /// SpanDSP's G.722, both ways, begun anew.
    pub fn g722_encode(samples: &[i16]) -> Vec<u8> {
        let mut out = vec![0; samples.len() / 2 + 1];
        // SAFETY: the types are those of spandsp/g722.h; the octets are half the samples.
        let length = unsafe {
            let make: G722Make = find(SPANDSP, c"g722_encode_init");
            let encode: G722Encode = find(SPANDSP, c"g722_encode");
            let state = make(null_mut(), 64_000, 0);
            assert!(!state.is_null());
            encode(
                state,
                out.as_mut_ptr(),
                samples.as_ptr(),
                samples.len() as c_int,
            )
        };
        out.truncate(length as usize);
        out
    }

    pub fn g722_decode(octets: &[u8]) -> Vec<i16> {
        let mut out = vec![0i16; octets.len() * 2 + 2];
        // SAFETY: the types are those of spandsp/g722.h; the samples are twice the octets.
        let count = unsafe {
            let make: G722Make = find(SPANDSP, c"g722_decode_init");
            let decode: G722Decode = find(SPANDSP, c"g722_decode");
            let state = make(null_mut(), 64_000, 0);
            assert!(!state.is_null());
            decode(
                state,
                out.as_mut_ptr(),
                octets.as_ptr(),
                octets.len() as c_int,
            )
        };
        out.truncate(count as usize);
        out
    }
}

fn opus(fmtp: &str) -> Payload {
    Payload {
        fmtp: Some(fmtp.into()),
        ..Payload::new(111, Codec::Opus)
    }
}

#[test]
fn libopus_hears_what_we_encode() {
    for rate_hz in [8_000u32, 16_000, 48_000] {
        let speech = speech(rate_hz);
        for ms in [10, 20, 40, 60] {
            let frame = rate_hz as usize * ms / 1_000;
            let packets = encode(&opus("useinbandfec=1"), rate_hz, frame, &speech);
            let mut other = theirs::OpusDecoder::new(rate_hz);
            let heard: Vec<i16> = packets
                .iter()
                .flat_map(|packet| other.decode(Some(packet), false, frame))
                .collect();
            let ours = decode(&Codec::Opus, rate_hz, &packets);
            let db = likeness_db(&heard, &ours, 0);
            assert!(
                db > 35.0,
                "{rate_hz} Hz, {ms} ms: decoders differ: {db:.1} dB"
            );
            let db = likeness_db(&speech, &heard, rate_hz as usize / 50);
            assert!(db > 5.0, "{rate_hz} Hz, {ms} ms: {db:.1} dB");
        }
    }
}

#[test]
fn we_hear_what_libopus_encodes_with_losses_and_copies_as_it_does() {
    for rate_hz in [8_000u32, 16_000, 48_000] {
        let speech = speech(rate_hz);
        // with copies it loses packets; the higher ones are of the other half of Opus, whose guesses at what was lost differ in phase
        for (bitrate, fec) in [
            (12_000, true),
            (24_000, true),
            (32_000, false),
            (64_000, false),
        ] {
            let frame = rate_hz as usize / 50;
            let mut other = theirs::OpusEncoder::new(rate_hz, bitrate, fec);
            let packets: Vec<Vec<u8>> = speech
                .chunks_exact(frame)
                .map(|frame| other.encode(frame))
                .collect();
            let (mut other, mut heard) = (theirs::OpusDecoder::new(rate_hz), Vec::new());
            let coder = Codec::Opus.coder().expect("we speak it");
            let (mut ours, mut got) = ((coder.decoder)(rate_hz), Vec::new());
            for (n, packet) in packets.iter().enumerate() {
                if fec && n % 9 == 7 {
                    let next = packets.get(n + 1).map(Vec::as_slice);
                    heard.extend(other.decode(next, next.is_some(), frame));
                    ours.conceal(frame, next, &mut got);
                } else {
                    heard.extend(other.decode(Some(packet), false, frame));
                    ours.decode(packet, &mut got).expect("decodes");
                }
            }
            let db = likeness_db(&heard, &got, 0);
            assert!(db > 35.0, "{rate_hz} Hz, {bitrate} bit/s: {db:.1} dB");
        }
    }
}

#[test]
fn g722_agrees_with_spandsp_in_both_directions() {
    let speech = speech(16_000);
    let packets = encode(&Payload::new(9, Codec::G722), 16_000, 320, &speech);
    let whole = &speech[..packets.len() * 320];
    let theirs = theirs::g722_encode(whole);
    let octets = packets.concat();
    // assert_eq would print them all
    assert!(octets == theirs, "the octets differ");
    let heard = decode(&Codec::G722, 16_000, &packets);
    assert!(heard == theirs::g722_decode(&octets), "the samples differ");
    let db = likeness_db(&speech, &heard, 40);
    assert!(db > 15.0, "there and back: {db:.1} dB");
}
