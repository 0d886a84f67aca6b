//! The WebStream recipe from end to end, by the program itself: a bundled instance with its three
//! databases, a managed one, and the configurations of three hosts.

mod again;
#[cfg(feature = "aws")]
mod aws;
mod bad_input;
// There loopback has but one address.
#[cfg(not(target_os = "macos"))]
mod clients;
#[cfg(all(debug_assertions, unix))]
mod cut_off;
mod hosts;
mod mishaps;
mod move_there_and_back;
mod provisioning;
mod rehearsing;
#[cfg(target_os = "linux")]
mod retiring;
mod run;
