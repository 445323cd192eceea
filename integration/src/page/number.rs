//! Numbers as a person reads them: few digits, thousands apart, the same number of decimals along an axis.

/// A number by itself: about three digits.
pub(super) fn alone(value: f64) -> String {
    let size = value.abs();
    let step = if size == 0.0 { 1.0 } else { 10_f64.powf(size.log10().floor() - 2.0) };
    let text = stepped(value, step, size);
    // Zeros at the end say nothing when there is no neighbour to line up with.
    let digits = text.trim_end_matches(|character: char| character.is_alphabetic());
    if !digits.contains('.') {
        return text;
    }
    format!("{}{}", digits.trim_end_matches('0').trim_end_matches('.'), &text[digits.len()..])
}

/// A number among others that are `step` apart and `largest` at most.
pub(super) fn stepped(value: f64, step: f64, largest: f64) -> String {
    // Anything smaller than what is seen of it is rounding: no tick is called -0.
    let value = if value.abs() < step / 1e3 { 0.0 } else { value };
    let sizes = [(1e12, "T"), (1e9, "G"), (1e6, "M")];
    let (divisor, suffix) = sizes.into_iter().find(|(size, _)| largest >= *size).unwrap_or((1.0, ""));
    if value == 0.0 && !suffix.is_empty() {
        return "0".to_owned();
    }
    let decimals = (-(step / divisor).log10().floor()).clamp(0.0, 15.0) as usize;
    if decimals > DECIMALS_MAX && suffix.is_empty() && value != 0.0 {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let digits = format!("{:.decimals$}", value / divisor);
    format!("{}{suffix}", thousands_apart(&digits))
}

/// More decimals than these are written with an exponent.
const DECIMALS_MAX: usize = 4;

fn thousands_apart(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("\u{2212}", rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, ""), |(whole, rest)| (whole, rest));
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{alone, stepped};

    #[test]
    fn a_number_by_itself_has_the_digits_that_say_something() {
        let texts = [0.0, 1.0, 2.5, 12.0, 0.125, 1_234.0, 5_500.0, 12_345_678.0, -3.0, 0.000_05, 1e9].map(alone);
        let expected = ["0", "1", "2.5", "12", "0.125", "1,234", "5,500", "12.3M", "\u{2212}3", "5e-5", "1G"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn numbers_along_an_axis_have_the_same_decimals() {
        let texts = [0.0, 0.5, 1.0].map(|value| stepped(value, 0.5, 1.0));
        assert_eq!(texts, ["0.0", "0.5", "1.0"]);
        let texts = [0.0, 500_000.0, 1_500_000.0].map(|value| stepped(value, 500_000.0, 1_500_000.0));
        assert_eq!(texts, ["0", "0.5M", "1.5M"]);
        assert_eq!(stepped(-1e-17, 0.1, 1.0), "0.0");
    }
}
