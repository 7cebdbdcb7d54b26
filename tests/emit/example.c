/* A network of a generated C file, trained by gradient descent: J and the gradient at theta = 0.1, 0.2,
 * ..., then J after every hundred steps. Compile it with the file and model.h beside it:
 *
 *     cc -O3 -march=native example.c model.c -lm
 */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

static double *numbers(size_t count)
{
    double *const found = aligned_alloc(64, (count * sizeof(double) + 63) / 64 * 64);
    if (!found) exit(EXIT_FAILURE);
    return found;
}

int main(void)
{
    static const double inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, labels[4][1] = {{0}, {1}, {1}, {0}};
    const size_t size = model_parameters();
    double *const theta = numbers(size), *const gradient = numbers(size);
    double *const x = numbers(model_inputs_size()), *const y = numbers(model_labels_size());
    double *const work = numbers(model_work_size());
    if (model_samples() != 4) return EXIT_FAILURE;

    model_pack(&inputs[0][0], &labels[0][0], x, y);
    for (size_t j = 0; j < size; j++) theta[j] = 0.1 * (double)(j + 1);
    printf("%.17g\n", model_value_and_grad(theta, x, y, work, gradient));
    for (size_t j = 0; j < size; j++) printf("%.17g\n", gradient[j]);

    for (int step = 1; step <= 1000; step++) {
        model_value_and_grad(theta, x, y, work, gradient);
        for (size_t j = 0; j < size; j++) theta[j] -= 0.5 * gradient[j];
        if (step % 100 == 0) printf("%.17g\n", model_value(theta, x, y, work));
    }
    free(theta), free(gradient), free(x), free(y), free(work);
    return EXIT_SUCCESS;
}
