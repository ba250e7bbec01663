//! Signal processing on 16-bit mono samples: pure functions and small machines, without packets and without time.
//!
//! [`Resampler`] changes the rate, [`Concealer`] fills what was lost, [`VoiceActivity`] tells speech from background, [`Gain`] changes
//! the level, [`tone`] makes and finds tones, [`call_tones`] knows those of networks, [`KeyListener`] hears keys. What they promise is measured in their tests, in decibels.

pub mod call_tones;
mod conceal;
mod gain;
mod keys;
mod resample;
pub mod tone;
mod voice;

pub use conceal::Concealer;
pub use gain::Gain;
pub use keys::{HeardKey, KeyListener};
pub use resample::Resampler;
pub use voice::VoiceActivity;
