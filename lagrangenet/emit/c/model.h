/* A generated network: J, its gradient and products with its Hessian.
 *
 * theta, direction and out are flat: (W1, b1, W2, b2, ...), row by row. x and y are what model_pack makes
 * of rows of inputs and labels. x, y and work have the sizes that the functions below give, in numbers,
 * and start at a multiple of 64 bytes (aligned_alloc). work belongs to one call at a time.
 */
#ifndef LAGRANGENET_MODEL_H
#define LAGRANGENET_MODEL_H
#include <stddef.h>

/* column-major BLAS (xGEMM of Fortran) for large layers; without it they take simple loops */
typedef void ModelGemm(char *, char *, int *, int *, int *, REAL *, REAL *, int *, REAL *, int *, REAL *,
                       REAL *, int *);
void model_use_blas(ModelGemm *xgemm);

size_t model_inputs_size(void);
size_t model_labels_size(void);
size_t model_work_size(void);
size_t model_parameters(void);
long model_samples(void);
void model_pack(const REAL *inputs, const REAL *labels, REAL *x, REAL *y);

ROUTINES

#endif
