/**
 * detect: finds secrets in bytes, whatever they are called and however they are encoded.
 * Guarantees: pure; a finding never carries the value; work is bounded by the input's length, and a scan that could
 * not look at everything says so (`incomplete`) instead of looking clean.
 */
export { createDetector, type Detector, type Finding, type ScanResult } from './detector.ts';
export { type Confidence, type Rule } from './rule.ts';
export { builtInRules } from './rules.ts';
