//! Which probes the kernel refuses, where it refuses them all for one.

use std::io;

use super::system_call::ENOTSUPP;

/// The probes that fail a link with ENOTSUPP, by bisection. One bad probe among n takes some
/// 2 log2(n) trial links.
pub(super) fn find_refused<L>(
    link: &impl Fn(&[u64], &[u64]) -> io::Result<L>,
    offsets: &[u64],
    cookies: &[u64],
) -> io::Result<Bisection<L>> {
    let mut bisection = Bisection {
        refused: Vec::new(),
        trial_links: Vec::new(),
    };
    bisection.run(link, offsets, cookies)?;
    bisection.refused.sort_unstable();
    Ok(bisection)
}

pub(super) struct Bisection<L> {
    /// Cookies, in ascending order at the end.
    pub(super) refused: Vec<u64>,
    /// To be closed all at once.
    pub(super) trial_links: Vec<L>,
}

impl<L> Bisection<L> {
    fn run(
        &mut self,
        link: &impl Fn(&[u64], &[u64]) -> io::Result<L>,
        offsets: &[u64],
        cookies: &[u64],
    ) -> io::Result<()> {
        if let [cookie] = cookies {
            self.refused.push(*cookie);
            return Ok(());
        }
        let middle = offsets.len() / 2;
        let (low_offsets, high_offsets) = offsets.split_at(middle);
        let (low_cookies, high_cookies) = cookies.split_at(middle);
        for (offsets, cookies) in [(low_offsets, low_cookies), (high_offsets, high_cookies)] {
            match link(offsets, cookies) {
                Ok(trial_link) => self.trial_links.push(trial_link),
                Err(error) if error.raw_os_error() == Some(ENOTSUPP) => {
                    self.run(link, offsets, cookies)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bisection_finds_exactly_the_refused_probes() {
        let offsets: Vec<u64> = (0..1000).collect();
        let cookies: Vec<u64> = offsets.iter().map(|offset| offset + 7).collect();
        let bad = [0, 1, 500, 731, 999];
        let link = |offsets: &[u64], _: &[u64]| {
            if offsets.iter().any(|offset| bad.contains(offset)) {
                Err(io::Error::from_raw_os_error(ENOTSUPP))
            } else {
                Ok(())
            }
        };
        let refused = find_refused(&link, &offsets, &cookies).unwrap().refused;
        assert_eq!(refused, bad.map(|offset| offset + 7));
    }

    #[test]
    fn bisection_passes_other_errors_on() {
        let link = |_: &[u64], _: &[u64]| -> io::Result<()> {
            Err(io::Error::from_raw_os_error(libc::ENOMEM))
        };
        let error = find_refused(&link, &[1, 2], &[1, 2]).err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
    }
}
