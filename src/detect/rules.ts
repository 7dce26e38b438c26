/**
 * The rules Waybill ships. Written from the vendors' published token formats; no value of any vendor is in here.
 * To add one: a keyword that every match contains at a fixed place, a pattern with bounded quantifiers only.
 */
import { endsWithChecksum62, isBech32 } from './checksum.ts';
import { isPlaceholder, judgeAssigned, judgePassword, randomLooking } from './judge.ts';
import type { Confidence, Rule } from './rule.ts';
import { judgeBasicHeader, judgeJwkMember, judgeJwt, judgePem } from './structure.ts';

/** Proven by its checksum, or else most likely a made-up example: shown, not blocking. */
const checksum62 =
  (bodyStart: number) =>
  (value: string): Confidence =>
    endsWithChecksum62(value, bodyStart) ? 'certain' : 'possible';

const waybill: readonly Rule[] = [
  {
    id: 'waybill-token',
    title: 'Waybill token',
    keywords: Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => `wb${letter}_`),
    pattern: /wb[a-z]_[0-9A-Za-z]{38}/y,
    bounded: true,
    judge: checksum62(0),
  },
];

const forges: readonly Rule[] = [
  {
    id: 'github-token',
    title: 'GitHub token',
    keywords: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'],
    pattern: /gh[pousr]_[0-9A-Za-z]{36}/y,
    judge: checksum62(4),
  },
  {
    id: 'github-fine-grained-token',
    title: 'GitHub fine-grained token',
    keywords: ['github_pat_'],
    pattern: /github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59}/y,
    judge: randomLooking(4, 11),
  },
  {
    id: 'gitlab-token',
    title: 'GitLab token',
    keywords: ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glft-', 'glsoat-', 'glcbt-', 'glagent-', 'gloas-', 'glimt-'],
    pattern: /gl(?:pat|dt|rt|ptt|ft|soat|cbt|agent|oas|imt)-[0-9A-Za-z_.-]{20,320}/y,
    judge: randomLooking(3, 6),
  },
  {
    id: 'bitbucket-token',
    title: 'Atlassian or Bitbucket token',
    keywords: ['atatt3', 'atbb', 'atctt3'],
    pattern: /AT(?:ATT3[\w=-]{100,300}|CTT3[\w=-]{100,300}|BB[0-9A-Za-z]{32})/y,
    judge: randomLooking(3.5, 6),
  },
];

const packages: readonly Rule[] = [
  {
    id: 'npm-token',
    title: 'npm token',
    keywords: ['npm_'],
    pattern: /npm_[0-9A-Za-z]{36}/y,
    bounded: true,
    judge: checksum62(4),
  },
  {
    id: 'npmrc-auth',
    title: 'password or token in .npmrc',
    keywords: ['_authtoken', '_password', '_auth'],
    pattern: /_(?:authToken|password|auth)\s{0,3}=\s{0,3}"?([0-9A-Za-z+/=_.-]{16,400})/y,
    judge: judgeAssigned,
    generic: true,
  },
  {
    id: 'pypi-token',
    title: 'PyPI token',
    keywords: ['pypi-agei'],
    pattern: /pypi-AgEI[\w-]{60,400}/y,
    judge: (value) => (Buffer.from(value.slice(5), 'base64url').includes('pypi.org') ? 'certain' : 'possible'),
  },
  {
    id: 'rubygems-token',
    title: 'RubyGems key',
    keywords: ['rubygems_'],
    pattern: /rubygems_[0-9a-f]{48}/y,
    judge: randomLooking(3, 9),
  },
  {
    id: 'crates-token',
    title: 'crates.io token',
    keywords: ['cio'],
    pattern: /cio[0-9A-Za-z]{32}/y,
    bounded: true,
    judge: judgeAssigned,
  },
  {
    id: 'nuget-key',
    title: 'NuGet key',
    keywords: ['oy2'],
    pattern: /oy2[a-z0-9]{43}/y,
    bounded: true,
    judge: randomLooking(3.5, 3),
  },
  {
    id: 'docker-token',
    title: 'Docker Hub token',
    keywords: ['dckr_pat_', 'dckr_oat_'],
    pattern: /dckr_[po]at_[\w-]{27,64}/y,
    judge: randomLooking(3.5, 9),
  },
  {
    id: 'artifactory-key',
    title: 'Artifactory key',
    keywords: ['akcp'],
    pattern: /AKCp[0-9A-Za-z]{69}/y,
    bounded: true,
  },
];

const clouds: readonly Rule[] = [
  {
    id: 'aws-access-key-id',
    title: 'AWS access key id',
    keywords: ['akia', 'asia', 'abia', 'acca'],
    pattern: /(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}/y,
    bounded: true,
    judge: randomLooking(3, 4),
  },
  {
    id: 'aws-secret-key',
    title: 'AWS secret access key',
    keywords: ['aws_secret', 'awssecret', 'aws-secret', 'secretaccesskey', 'secret_access_key'],
    pattern: /[A-Za-z_-]{9,40}["']?\s{0,5}(?:=|:|=>|:=)\s{0,5}["']?([0-9A-Za-z+/]{40})(?![0-9A-Za-z+/=])/y,
    judge: randomLooking(4),
  },
  {
    id: 'gcp-api-key',
    title: 'Google API key',
    keywords: ['aiza'],
    pattern: /AIza[\w-]{35}/y,
    bounded: true,
    judge: randomLooking(4, 4),
  },
  {
    id: 'gcp-oauth-secret',
    title: 'Google OAuth client secret',
    keywords: ['gocspx-'],
    pattern: /GOCSPX-[\w-]{28}/y,
    judge: randomLooking(3.5, 7),
  },
  {
    id: 'gcp-access-token',
    title: 'Google access token',
    keywords: ['ya29.'],
    pattern: /ya29\.[\w-]{60,400}/y,
    judge: randomLooking(4, 5),
  },
  {
    id: 'azure-storage-key',
    title: 'Azure storage account key',
    keywords: ['accountkey', 'sharedaccesskey'],
    pattern: /(?:Account|SharedAccess)Key\s{0,3}=\s{0,3}((?:[0-9A-Za-z+/]{86}==|[0-9A-Za-z+/]{43}=))/iy,
    judge: randomLooking(4),
  },
  {
    id: 'azure-client-secret',
    title: 'Microsoft Entra client secret',
    keywords: ['q~'],
    before: [4],
    pattern: /[\w.~-]{3}\dQ~[\w.~-]{31,34}/y,
    bounded: true,
    judge: randomLooking(4),
  },
  {
    id: 'azure-devops-token',
    title: 'Azure DevOps token',
    keywords: ['azdo'],
    before: [76],
    pattern: /[0-9A-Za-z]{76}AZDO[0-9A-Za-z]{4}/y,
    bounded: true,
  },
  {
    id: 'azure-sas',
    title: 'Azure shared access signature',
    keywords: ['sig='],
    pattern: /sig=([0-9A-Za-z%+/]{43,70}(?:%3D|=))/iy,
    judge: randomLooking(4),
  },
  {
    id: 'digitalocean-token',
    title: 'DigitalOcean token',
    keywords: ['dop_v1_', 'doo_v1_', 'dor_v1_'],
    pattern: /do[opr]_v1_[0-9a-f]{64}/y,
    judge: randomLooking(3, 7),
  },
  {
    id: 'cloudflare-ca-key',
    title: 'Cloudflare origin CA key',
    keywords: ['v1.0-'],
    pattern: /v1\.0-[0-9a-f]{24}-[0-9a-f]{146}/y,
  },
  {
    id: 'flyio-token',
    title: 'Fly.io token',
    keywords: ['fm2_', 'fm1r_'],
    pattern: /fm(?:2|1r)_[0-9A-Za-z+/]{100,600}={0,2}/y,
  },
];

const services: readonly Rule[] = [
  {
    id: 'slack-token',
    title: 'Slack token',
    keywords: ['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xoxe-', 'xoxe.', 'xapp-'],
    pattern:
      /(?:xox[bpars]-[0-9A-Za-z-]{20,200}|xoxe[.-][0-9A-Za-z.-]{30,300}|xapp-\d-[0-9A-Z]{8,16}-\d{8,16}-[0-9a-z]{32,80})/y,
    judge: randomLooking(3, 5),
  },
  {
    id: 'slack-webhook',
    title: 'Slack webhook',
    keywords: ['hooks.slack.com/'],
    pattern: /hooks\.slack\.com\/(?:services|workflows|triggers)\/[0-9A-Za-z+/]{40,100}/y,
    judge: randomLooking(3.5, 25),
  },
  {
    id: 'stripe-key',
    title: 'Stripe key',
    keywords: ['sk_live_', 'rk_live_', 'sk_test_', 'rk_test_'],
    pattern: /[sr]k_(?:live|test)_[0-9A-Za-z]{20,250}/y,
    judge: (value) => (value.slice(3, 7) === 'test' ? 'possible' : randomLooking(3, 8)(value)),
  },
  {
    id: 'stripe-webhook-secret',
    title: 'Stripe webhook secret',
    keywords: ['whsec_'],
    pattern: /whsec_[0-9A-Za-z+/]{32,64}={0,2}/y,
    judge: randomLooking(3.5, 6),
  },
  {
    id: 'twilio-key',
    title: 'Twilio key',
    keywords: Array.from('0123456789abcdef', (digit) => `sk${digit}`),
    pattern: /SK[0-9a-f]{32}/y,
    bounded: true,
    judge: (value) => (randomLooking(3, 2)(value) === 'likely' ? 'possible' : undefined),
  },
  {
    id: 'sendgrid-key',
    title: 'SendGrid key',
    keywords: ['sg.'],
    pattern: /SG\.[\w-]{22}\.[\w-]{43}/y,
    bounded: true,
    judge: randomLooking(4, 3),
  },
  {
    id: 'mailgun-key',
    title: 'Mailgun key',
    keywords: ['key-'],
    pattern: /key-[0-9a-f]{32}/y,
    bounded: true,
    judge: randomLooking(3, 4),
  },
  {
    id: 'mailchimp-key',
    title: 'Mailchimp key',
    keywords: ['-us'],
    before: [32],
    pattern: /[0-9a-f]{32}-us\d{1,2}/y,
    bounded: true,
    judge: randomLooking(3),
  },
  {
    id: 'shopify-token',
    title: 'Shopify token',
    keywords: ['shpat_', 'shpss_', 'shpca_', 'shppa_'],
    pattern: /shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}/y,
    judge: randomLooking(3, 6),
  },
  {
    id: 'square-token',
    title: 'Square token',
    keywords: ['sq0atp-', 'sq0csp-'],
    pattern: /sq0(?:atp-[\w-]{22}|csp-[\w-]{43})/y,
    judge: randomLooking(3.5, 7),
  },
  {
    id: 'telegram-token',
    title: 'Telegram bot token',
    keywords: [':aa'],
    before: [10, 9, 8],
    pattern: /\d{8,10}:AA[\w-]{33}/y,
    bounded: true,
    judge: randomLooking(3.5, 11),
  },
  {
    id: 'openai-key',
    title: 'OpenAI key',
    keywords: ['sk-'],
    pattern: /sk-(?:(?:proj|svcacct|admin|None)-)?[\w-]{16,120}T3BlbkFJ[\w-]{16,120}/y,
    judge: randomLooking(4, 3),
  },
  {
    id: 'anthropic-key',
    title: 'Anthropic key',
    keywords: ['sk-ant-'],
    pattern: /sk-ant-(?:api|admin|oat|ort)\d{2}-[\w-]{80,120}/y,
    judge: randomLooking(4, 13),
  },
  {
    id: 'huggingface-token',
    title: 'Hugging Face token',
    keywords: ['hf_', 'api_org_'],
    pattern: /(?:hf|api_org)_[A-Za-z]{34}/y,
    bounded: true,
    judge: randomLooking(4, 3),
  },
  {
    id: 'vault-token',
    title: 'HashiCorp Vault token',
    keywords: ['hvs.', 'hvb.', 'hvr.'],
    pattern: /hv[sbr]\.[\w-]{24,320}/y,
    bounded: true,
    judge: randomLooking(3.7, 4),
  },
  {
    id: 'terraform-token',
    title: 'Terraform Cloud token',
    keywords: ['.atlasv1.'],
    before: [14],
    pattern: /[0-9A-Za-z]{14}\.atlasv1\.[\w=-]{60,70}/y,
  },
  {
    id: 'databricks-token',
    title: 'Databricks token',
    keywords: ['dapi'],
    pattern: /dapi[0-9a-f]{32}(?:-\d{1,2})?/y,
    bounded: true,
    judge: randomLooking(3, 4),
  },
  {
    id: 'grafana-token',
    title: 'Grafana token',
    keywords: ['glsa_', 'glc_ey'],
    pattern: /(?:glsa_[0-9A-Za-z]{32}_[0-9a-f]{8}|glc_ey[0-9A-Za-z+/]{40,400}={0,2})/y,
    judge: randomLooking(3.5, 5),
  },
  {
    id: 'newrelic-key',
    title: 'New Relic key',
    keywords: ['nrak-'],
    pattern: /NRAK-[0-9A-Z]{27}/y,
    judge: randomLooking(3.5, 5),
  },
  {
    id: 'sentry-token',
    title: 'Sentry token',
    keywords: ['sntrys_', 'sntryu_'],
    pattern: /(?:sntryu_[0-9a-f]{64}|sntrys_[0-9A-Za-z+/=_]{80,400})/y,
    judge: randomLooking(3, 7),
  },
  { id: 'postman-key', title: 'Postman key', keywords: ['pmak-'], pattern: /PMAK-[0-9a-f]{24}-[0-9a-f]{34}/y },
  {
    id: 'linear-key',
    title: 'Linear key',
    keywords: ['lin_api_'],
    pattern: /lin_api_[0-9A-Za-z]{40}/y,
    judge: randomLooking(4, 8),
  },
  {
    id: 'doppler-token',
    title: 'Doppler token',
    keywords: ['dp.pt.', 'dp.st.', 'dp.ct.', 'dp.sa.'],
    pattern: /dp\.(?:pt|st|ct|sa)\.[\w.-]{40,80}/y,
    judge: randomLooking(4, 6),
  },
];

const keysAndHeaders: readonly Rule[] = [
  {
    id: 'private-key',
    title: 'private key',
    keywords: ['-----begin '],
    pattern: /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){40,16000}(?:-----END)?/y,
    judge: judgePem,
  },
  {
    id: 'putty-key',
    title: 'PuTTY private key',
    keywords: ['putty-user-key-file-'],
    pattern: /PuTTY-User-Key-File-\d: [\w-]{5,40}\r?\n(?:[^\r\n]{0,300}\r?\n){1,40}?Private-Lines: \d{1,4}/y,
  },
  {
    id: 'age-identity',
    title: 'age identity',
    keywords: ['age-secret-key-1'],
    pattern: /AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}/y,
    judge: (value) => (isBech32(value) ? 'certain' : 'possible'),
  },
  {
    id: 'jwt',
    title: 'JSON Web Token',
    keywords: ['eyj'],
    pattern: /eyJ[\w-]{10,2000}\.eyJ[\w-]{10,6000}\.[\w-]{16,1400}/y,
    bounded: true,
    judge: judgeJwt,
  },
  {
    id: 'jwk-private',
    title: 'private JSON Web Key',
    keywords: ['"d"'],
    pattern: /"d"\s{0,4}:\s{0,4}"([\w-]{42,1400})"/y,
    judge: judgeJwkMember,
  },
  {
    id: 'basic-header',
    title: 'user and password in an Authorization header',
    keywords: ['basic '],
    pattern: /basic ([0-9A-Za-z+/]{12,200}={0,2})(?![0-9A-Za-z+/=])/iy,
    judge: judgeBasicHeader,
  },
  {
    id: 'bearer-header',
    title: 'token in an Authorization header',
    keywords: ['bearer '],
    pattern: /bearer ([\w.~+/-]{20,400}={0,2})/iy,
    judge: judgeAssigned,
    generic: true,
  },
  {
    id: 'url-password',
    title: 'password in a URL',
    keywords: ['://'],
    pattern: /:\/\/[^\s/:@"'`<>{}()]{0,64}:([^\s/:@"'`<>{}()$]{6,128})@[\w.[-]/y,
    judge: judgePassword,
    generic: true,
  },
];

const secretNames =
  '(?:api[_.-]?key|apikey|access[_.-]?key|secret[_.-]?key|private[_.-]?key|auth[_.-]?key|signing[_.-]?key|encryption[_.-]?key|client[_.-]?secret|secret|token|passw(?:or)?d|passphrase|pwd|credentials?)';
const secretKeywords = [
  'api_key',
  'api-key',
  'api.key',
  'apikey',
  'access_key',
  'access-key',
  'access.key',
  'accesskey',
  'private_key',
  'private-key',
  'privatekey',
  'auth_key',
  'auth-key',
  'authkey',
  'signing_key',
  'signing-key',
  'signingkey',
  'encryption_key',
  'encryption-key',
  'encryptionkey',
  'secret',
  'token',
  'password',
  'passwd',
  'passphrase',
  'pwd',
  'credential',
];

const assignments: readonly Rule[] = [
  {
    id: 'quoted-assignment',
    title: 'secret in quotes',
    keywords: secretKeywords,
    pattern: new RegExp(
      `${secretNames}[\\w.-]{0,30}["'\`]?\\s{0,4}(?:=>|:=|={1,3}|:|,)\\s{0,4}["'\`]([^\\s"'\`]{10,200})["'\`]`,
      'iy',
    ),
    judge: judgeAssigned,
    generic: true,
  },
  {
    id: 'plain-assignment',
    title: 'secret in a settings file',
    keywords: secretKeywords,
    pattern: new RegExp(
      `${secretNames}[\\w.-]{0,30}\\s{0,3}[=:]\\s{0,3}([0-9A-Za-z+/_.~-]{16,200}={0,2})(?![\\w.(\\[])`,
      'iy',
    ),
    judge: (value) => (/[.(]/.test(value) || isPlaceholder(value) ? undefined : judgeAssigned(value)),
    generic: true,
  },
];

export const builtInRules: readonly Rule[] = [
  ...waybill,
  ...forges,
  ...packages,
  ...clouds,
  ...services,
  ...keysAndHeaders,
  ...assignments,
];
