/* What views are packed with: a zlib stream. */

/* Decompresses a zlib stream of known size. The browser's own decoder answers later, too late for a page in print. */
function inflate(bytes, size) {
  const out = new Uint8Array(size);
  let at = 2, hold = 0, held = 0, n = 0;
  const bits = (count) => {
    while (held < count) {
      if (at >= bytes.length) throw new Error("a packed picture ends too early");
      hold |= bytes[at++] << held;
      held += 8;
    }
    const value = hold & ((1 << count) - 1);
    hold >>>= count;
    held -= count;
    return value;
  };
  const table = (lengths) => {
    const count = new Uint16Array(16), from = new Uint16Array(16), symbols = new Uint16Array(lengths.length);
    for (const length of lengths) count[length]++;
    count[0] = 0;
    for (let i = 1; i < 15; i++) from[i + 1] = from[i] + count[i];
    lengths.forEach((length, symbol) => { if (length) symbols[from[length]++] = symbol; });
    return { count, symbols };
  };
  const symbol = ({ count, symbols }) => {
    let code = 0, first = 0, index = 0;
    for (let length = 1; length < 16; length++) {
      code |= bits(1);
      if (code - first < count[length]) return symbols[index + code - first];
      index += count[length];
      first = (first + count[length]) << 1;
      code <<= 1;
    }
    throw new Error("a packed picture is damaged");
  };
  /* Base and extra bits of the codes of lengths and of distances. */
  const extra = (i, per) => Math.max(0, Math.floor(i / per) - 1);
  const bases = (count, per, first) => Array.from({ length: count }, (_, i) => {
    const base = first;
    first += 1 << extra(i, per);
    return base;
  });
  const long = bases(28, 4, 3), far = bases(30, 2, 1);
  const fixed = () => [table([...Array(288).keys()].map((i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))), table(Array(30).fill(5))];
  const dynamic = () => {
    const literals = bits(5) + 257, distances = bits(5) + 1, coded = bits(4) + 4, order = Array(19).fill(0), lengths = [];
    for (let i = 0; i < coded; i++) order[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][i]] = bits(3);
    const codes = table(order);
    while (lengths.length < literals + distances) {
      const s = symbol(codes);
      const [value, times] = s < 16 ? [s, 1] : s === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, s === 17 ? 3 + bits(3) : 11 + bits(7)];
      for (let k = 0; k < times; k++) lengths.push(value);
    }
    return [table(lengths.slice(0, literals)), table(lengths.slice(literals))];
  };
  for (let last = 0; !last;) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      hold = held = 0;
      const length = bytes[at] | (bytes[at + 1] << 8);
      out.set(bytes.subarray(at + 4, at + 4 + length), n);
      at += 4 + length;
      n += length;
      continue;
    }
    const [literal, distance] = kind === 1 ? fixed() : dynamic();
    for (let s = symbol(literal); s !== 256; s = symbol(literal)) {
      if (s < 256) { out[n++] = s; continue; }
      const length = s === 285 ? 258 : long[s - 257] + bits(extra(s - 257, 4)), d = symbol(distance);
      const back = far[d] + bits(extra(d, 2));
      for (let k = 0; k < length; k++, n++) out[n] = out[n - back];
    }
  }
  if (n !== size) throw new Error(`a packed picture holds ${n} bytes instead of ${size}`);
  return out;
}
