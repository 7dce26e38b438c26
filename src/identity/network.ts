import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { Problem } from '#base';

/** `10.0.0.0/8`, `fd00::/8`, or one address. */
export const Cidr = z.string().max(50).refine(isCidr, 'write a network as 10.0.0.0/8 or fd00::/8');

function isCidr(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** A list of networks → a test on addresses. IPv4-mapped IPv6 addresses count as IPv4. An empty list admits nobody. */
export function parseNetworks(networks: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const text of networks) {
    if (!isCidr(text)) throw badNetwork(text);
    const [address = '', prefix] = text.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => address !== undefined && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

const badNetwork = (text: string) =>
  new Problem({
    code: 'identity.network_invalid',
    kind: 'invalid',
    message: `'${text}' is not a network.`,
    hint: 'Write networks in CIDR form, such as 10.0.0.0/8 or fd00::/8.',
  });
