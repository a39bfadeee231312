const SIDE = 28;
const BOX = 20;
const MIDDLE = 14;

// The pixels of a row that pixel `k` of a longer or shorter row falls on, and the share of each.
const sharesOf = (k, length) => {
  const [from, to] = [(k * BOX) / length, ((k + 1) * BOX) / length];
  const shares = [];
  for (let i = Math.floor(from); i < to; i++) {
    shares.push([i, Math.min(i + 1, to) - Math.max(i, from)]);
  }
  return shares;
};

// A drawing, a square of `ink` from 0 to 255, as MNIST's makers had their scans: its bounding box
// fitted into 20 × 20 pixels, aspect kept and grey levels averaged, and its centre of mass in the
// middle of 28 × 28 (http://yann.lecun.com/exdb/mnist). In all of MNIST, that is within half a pixel
// of pixel 14, counted from 0.
const toMnist = (ink, side) => {
  const pixels = new Uint8ClampedArray(SIDE * SIDE);
  let [left, top, right, bottom] = [side, side, 0, 0];
  ink.forEach((level, at) => {
    if (level) {
      const [x, y] = [at % side, Math.floor(at / side)];
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
    }
  });
  if (right === 0) {
    return pixels;
  }
  const length = Math.max(right - left, bottom - top);
  const averaged = new Float64Array(BOX * BOX);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      for (const [i, tall] of sharesOf(y - top, length)) {
        for (const [j, wide] of sharesOf(x - left, length)) {
          averaged[i * BOX + j] += ink[y * side + x] * tall * wide;
        }
      }
    }
  }
  const box = Uint8ClampedArray.from(averaged);
  const mass = box.reduce((sum, level) => sum + level);
  // No ink is lost at the edge, whatever its centre.
  const shift = (extent, place) => {
    const centre = box.reduce((sum, level, at) => sum + level * place(at), 0) / mass;
    return Math.min(SIDE - Math.ceil((extent * BOX) / length), Math.max(0, Math.round(MIDDLE - centre)));
  };
  const across = shift(right - left, (at) => at % BOX);
  const down = shift(bottom - top, (at) => Math.floor(at / BOX));
  box.forEach((level, at) => {
    if (level) {
      pixels[(Math.floor(at / BOX) + down) * SIDE + (at % BOX) + across] = level;
    }
  });
  return pixels;
};

// The linear classifiers of a model, one a class; or just one, where it answers yes or no.
const classifiers = ({ weights, intercepts }, isYesOrNo) => {
  const all = new Float64Array(Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0)).buffer);
  const found = intercepts.map((intercept, i) => ({
    intercept,
    weights: all.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE),
  }));
  // Of two classes, what speaks for the second speaks against the first.
  const opposite = ({ intercept, weights }) => ({ intercept: -intercept, weights: weights.map((weight) => -weight) });
  return found.length > 1 || isYesOrNo ? found : [opposite(found[0]), found[0]];
};

const scoreOf = ({ intercept, weights }, pixels) =>
  pixels.reduce((sum, level, at) => sum + level * weights[at], intercept);

// Fills a canvas of 28 × 28: each value from -1 to 1 red or blue, white where it is 0.
const FOR = [0, 90, 181];
const AGAINST = [203, 32, 14];
const paint = (canvas, values, positive = FOR) => {
  const image = new ImageData(SIDE, SIDE);
  values.forEach((value, at) => {
    const colour = value > 0 ? positive : AGAINST;
    const share = Math.min(1, Math.abs(value));
    image.data.set([...colour.map((level) => 255 - share * (255 - level)), 255], 4 * at);
  });
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
};

// Values as shares of their largest size; of a lower quantile of the sizes, where few are far larger.
const scaled = (values, quantile) => {
  const sizes = Float64Array.from(values, Math.abs).sort();
  const largest = sizes[Math.floor(quantile * (sizes.length - 1))] || 1;
  return values.map((value) => value / largest);
};
