// For the tests: calls functions of one instance, as lines of JSON on the standard input say, and
// answers each with a line. Bytes are in hex. usage: node calls.mjs COMPONENT
import { createInterface } from 'node:readline';
import { load } from './host.mjs';

const processor = await load(process.argv[2]);

function call({ name, text, bytes }) {
  const given = bytes === undefined ? text : Buffer.from(bytes, 'hex');
  try {
    const result = given === undefined ? processor[name]() : processor[name](given);
    return result instanceof Uint8Array
      ? { bytes: Buffer.from(result).toString('hex') }
      : { value: result ?? null };
  } catch (error) {
    if (error.tag === undefined) throw error;
    return { error };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(call(JSON.parse(line))));
}
