// The SVM on strokes, as stages/strokes/extract_features.py and svm.py have it, of one image at a
// time: the same steps, in the same order. All are of whole numbers, or of fractions that are added,
// multiplied, divided and rooted one by one. IEEE 754 leaves neither language a choice, and what the
// last bit of exp may differ in, the kernel's rounding loses.
const GRID = 32; // Python's SIDE; here, SIDE is that of an image.
const CELLS = 8;
const SPREAD = 6.8;
const SHADES = 4;
const X = [99, 70, 0, -70, -99, -70, 0, 70];
const Y = X.map((_, i) => X.at(i - 2));
const SCALE = 1000;
const N_FEATURES = 8 * CELLS * CELLS;
const KERNEL = 2 ** 20;
const COEFFICIENT = 2 ** 12;

// The nearest whole number, of two the even one: doubles from 2 ** 52 on have no fraction.
const rint = (value) => value + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;
const clip = (value, least, most) => Math.min(most, Math.max(least, value));

// The affine map of an image that takes away its place, slant and size: of a point
// [right, down, 1] of the normalised image, the column (three numbers) and the row (three more).
const normalising = (image) => {
  let [ink, x, y, xx, xy, yy] = [0, 0, 0, 0, 0, 0];
  image.forEach((level, at) => {
    const column = at % SIDE;
    const row = (at - column) / SIDE;
    ink += level;
    x += level * column;
    y += level * row;
    xx += level * column * column;
    xy += level * column * row;
    yy += level * row * row;
  });
  ink = Math.max(ink, 1);
  [x, y] = [x / ink, y / ink];
  const [across, down] = [xx / ink - x * x, Math.max(yy / ink - y * y, 0.25)];
  const covariance = xy / ink - x * y;
  const slope = covariance / down;
  const width = Math.sqrt(Math.max(across - slope * covariance, 0.25));
  const height = Math.sqrt(down);
  const longer = Math.max(width, height);
  const ratio = Math.min(width, height) / longer;
  const stretched = Math.sqrt((ratio * (3 - ratio * ratio)) / 2);
  const perPixel = (longer / SPREAD) * (GRID / 2);
  const squeezed = (perPixel * ratio) / stretched;
  const [right, below] = width < height ? [squeezed, perPixel] : [perPixel, squeezed];
  return [right, slope * below, x, 0, below, y];
};

// Sobel's gradient of a mapped image, to the right and down. A point lies between four pixels, on a
// grid of 256ths.
const gradients = (image, map) => {
  const wide = SIDE + 3;
  const pixels = new Uint8Array(wide * wide);
  for (let row = 0; row < SIDE; row++) {
    pixels.set(image.subarray(row * SIDE, (row + 1) * SIDE), (row + 1) * wide + 1);
  }
  const grey = new Int32Array(GRID * GRID);
  for (let at = 0; at < grey.length; at++) {
    const right = ((at % GRID) + 0.5) / (GRID / 2) - 1;
    const down = (Math.floor(at / GRID) + 0.5) / (GRID / 2) - 1;
    const column = clip(rint((map[0] * right + map[1] * down + map[2]) * 256), -256, SIDE * 256) + 256;
    const row = clip(rint((map[3] * right + map[4] * down + map[5]) * 256), -256, SIDE * 256) + 256;
    const x = column & 255;
    const y = row & 255;
    const corner = (row >> 8) * wide + (column >> 8);
    const above = pixels[corner] * (256 - x) + pixels[corner + 1] * x;
    const below = pixels[corner + wide] * (256 - x) + pixels[corner + wide + 1] * x;
    grey[at] = (above * (256 - y) + below * y) / (2 ** 16 / SHADES);
  }
  const [rightward, downward] = [new Int32Array(grey.length), new Int32Array(grey.length)];
  for (let row = 0; row < GRID; row++) {
    const [up, here, low] = [Math.max(row - 1, 0), row, Math.min(row + 1, GRID - 1)].map((each) => each * GRID);
    for (let column = 0; column < GRID; column++) {
      const left = Math.max(column - 1, 0);
      const right = Math.min(column + 1, GRID - 1);
      const corners = grey[low + right] - grey[up + left];
      const others = grey[up + right] - grey[low + left];
      rightward[here + column] = corners + others + 2 * (grey[here + right] - grey[here + left]);
      downward[here + column] = corners - others + 2 * (grey[low + column] - grey[up + column]);
    }
  }
  return [rightward, downward];
};

// A gradient's parts along the two nearest of eight directions, whose sum it is: a plane for each.
const directions = ([x, y]) => {
  const planes = X.map(() => new Int32Array(x.length));
  const areas = new Int32Array(8);
  for (let at = 0; at < x.length; at++) {
    if (x[at] === 0 && y[at] === 0) {
      continue;
    }
    // Twice the area between the gradient and a direction: how far the gradient is on its right.
    for (let i = 0; i < 8; i++) {
      areas[i] = x[at] * Y[i] - y[at] * X[i];
    }
    for (let i = 0; i < 8; i++) {
      planes[i][at] = Math.max(Math.min(areas[(i + 1) & 7], -areas[(i + 7) & 7]), 0) >> 7;
    }
  }
  return planes;
};

// A plane by a Gaussian of half a cell, at each cell.
const WEIGHTS = Float64Array.from({ length: GRID * CELLS }, (_, i) => {
  const cell = GRID / CELLS;
  const middle = ((i % CELLS) + 0.5) * cell - 0.5;
  return rint(64 * Math.exp(-2 * ((Math.floor(i / CELLS) - middle) / cell) ** 2));
});
const blurred = (plane) => {
  const cells = new Float64Array(CELLS * CELLS);
  const line = new Float64Array(CELLS);
  for (let row = 0; row < GRID; row++) {
    line.fill(0);
    for (let column = 0; column < GRID; column++) {
      const level = plane[row * GRID + column];
      for (let j = 0; level && j < CELLS; j++) {
        line[j] += level * WEIGHTS[column * CELLS + j];
      }
    }
    for (let i = 0; i < CELLS; i++) {
      const weight = WEIGHTS[row * CELLS + i];
      for (let j = 0; weight && j < CELLS; j++) {
        cells[i * CELLS + j] += weight * line[j];
      }
    }
  }
  return cells;
};

// How much of each direction there is in each cell: the square root of its share, in thousandths.
const features = (image, map = normalising(image)) => {
  const cells = new Float64Array(N_FEATURES);
  directions(gradients(image, map)).forEach((plane, i) => cells.set(blurred(plane), i * CELLS * CELLS));
  const total = Math.max(cells.reduce((sum, cell) => sum + cell), 1);
  return Uint16Array.from(cells.map((cell) => rint(SCALE * Math.sqrt(cell / total))));
};

// How alike a row of features is to each support vector: 1 where it is the same, in 2 ** 20ths.
const kernel = ({ support, squares, gamma }, X) => {
  const square = X.reduce((sum, x) => sum + x * x, 0);
  return squares.map((other, row) => {
    let product = 0;
    for (let k = 0, at = row * N_FEATURES; k < N_FEATURES; k++, at++) {
      product += X[k] * support[at];
    }
    return rint(Math.exp(-gamma * (square + other - 2 * product)) * KERNEL);
  });
};

// The two classes that win most pairs, by their number; among equals, those that win by more. And by
// how much the first of them wins.
const ranked = (learned, X) => {
  const { n_support, coefficients, intercepts } = learned;
  const [n, part] = [n_support.length, kernel(learned, X)];
  const wins = Array.from({ length: n }, () => new Float64Array(n));
  for (let i = 0, pair = 0, row = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++, pair++) {
      wins[i][j] += intercepts[pair];
    }
    // A support vector has a coefficient for each of the other classes.
    for (const end = row + n_support[i]; row < end; row++) {
      for (let j = 0; j < n - 1; j++) {
        const other = j + (j >= i);
        wins[i][other] += part[row] * coefficients[row * (n - 1) + j];
      }
    }
  }
  // For the first class of a pair, and so against the second.
  const margin = (i, j) => ((wins[i][j] + wins[j][i]) * Math.sign(j - i)) / (KERNEL * COEFFICIENT);
  const score = wins.map((line, i) =>
    line.reduce((sum, _, j) => sum + 2 * n * (margin(i, j) > 0) + clip(margin(i, j), -1, 1), 0),
  );
  const [first, second] = score.map((_, i) => i).sort((i, j) => score[j] - score[i]);
  return { first, second, margin: margin(first, second) };
};

// The SVM of the page, with the features of its support vectors. They are extracted here, of images
// and maps, which take less than half the room. Now and then the page may do other things, and
// `tell` is told the share that is done.
const unpack = async ({ packed, n_images, n_support, ...others }, tell) => {
  const n = n_support.reduce((sum, size) => sum + size);
  const n_coefficients = n * (n_support.length - 1);
  const bytes = new Uint8Array(8 * 6 * n + 4 * n + 4 * n_coefficients + SIDE * SIDE * n_images);
  const letters = atob(packed);
  // A zero is followed by the number of zeros.
  for (let from = 0, to = 0; from < letters.length; from++) {
    bytes[to] = letters.charCodeAt(from);
    to += bytes[to] ? 1 : letters.charCodeAt(++from);
  }
  let start = 0;
  const next = (Kind, length) => {
    const part = new Kind(bytes.buffer, start, length);
    start += part.byteLength;
    return part;
  };
  const [maps, image] = [next(Float64Array, 6 * n), next(Int32Array, n)];
  const [coefficients, images] = [next(Int32Array, n_coefficients), next(Uint8Array)];
  const [support, squares] = [new Uint16Array(n * N_FEATURES), new Int32Array(n)];
  for (let row = 0, since = performance.now(); row < n; row++) {
    const pixels = images.subarray(image[row] * SIDE * SIDE, (image[row] + 1) * SIDE * SIDE);
    const found = features(pixels, maps.subarray(6 * row, 6 * (row + 1)));
    support.set(found, row * N_FEATURES);
    squares[row] = found.reduce((sum, x) => sum + x * x, 0);
    if (performance.now() - since > 20) {
      tell(row / n);
      await new Promise((resume) => setTimeout(resume));
      since = performance.now();
    }
  }
  return { support, squares, coefficients, n_support, ...others };
};
